# Two commands set everything up:  make demo   and   make test
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
# One BLAS thread a process: parallel workers must not spin against each other.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: demo test test-parity lint clean

$(BIN)/haplolens: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[deep]'
	@touch $@

$(VENV)/.dev: $(BIN)/haplolens
	$(PIP) -e '.[deep,tune,dev]'
	@touch $@

demo: $(BIN)/haplolens  ## heterogeneous-stock mice, HDL cholesterol -> demo-results/
	$(BIN)/haplolens run examples/mice_hs.pgen --traits examples/mice_hs.traits.tsv --trait HDL \
	    --covariates sex --build GRCm38 --predict quick --out demo-results --force

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/lint-imports

test: $(VENV)/.dev lint  ## the whole default suite
	$(BIN)/python -m pytest -n 2 -m "not parity"

test-parity: $(VENV)/.dev  ## against plink1.9, plink2, gemma, susieR, bcftools, bedtools, gt; no skip allowed
	HAPLOLENS_NO_SKIP=1 $(BIN)/python -m pytest -v -m parity tests/parity

clean:
	rm -rf $(VENV) demo-results
