"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), muted = css.getPropertyValue("--muted").trim();
  const lead = css.getPropertyValue("--lead").trim();
  const drawn = new Set();

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  async function loadPlotly() {
    const packed = document.getElementById("plotly").textContent.trim();
    const stream = new Blob([bytes(packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  function hasWebGL() {
    try {
      return Boolean(document.createElement("canvas").getContext("webgl"));
    } catch {
      return false;
    }
  }

  function drawFigure(box, webgl) {
    const name = box.dataset.figure;
    if (drawn.has(name) || !box.offsetWidth) return;
    drawn.add(name);
    const figure = figures[name];
    if (!webgl) for (const trace of figure.data) if (trace.type === "scattergl") trace.type = "scatter";
    const config = {
      responsive: true, displaylogo: false, plotlyServerURL: "", showTips: false,
      // Named one by one: plotly's own set has a button that sends the data to its makers.
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
      toImageButtonOptions: { format: "svg", filename: "haplolens-" + name },
    };
    Plotly.newPlot(box, figure.data, figure.layout, config);
    box.on("plotly_click", (event) => {
      const data = event.points[0].customdata;
      const target = data && data[2] && document.getElementById(data[2]);
      if (target) target.scrollIntoView();
    });
  }

  // LD triangle: cell (i, j) is a diamond below the middle of columns i and j.
  function triangle(canvas) {
    const ld = figures[canvas.dataset.ld];
    const values = new Int8Array(bytes(ld.r).buffer);
    const r = (i, j) => values[i * (2 * ld.k - i - 1) / 2 + (j - i - 1)] / 100;
    const plot = document.querySelector(`[data-figure="${canvas.dataset.axis}"]`);
    const margin = figures[canvas.dataset.axis].layout.margin;
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    canvas.after(tip);
    const lines = 44;
    let wide = 0, cell = 0, deep = 0;

    function draw() {
      const width = canvas.clientWidth, scale = window.devicePixelRatio || 1;
      wide = width - margin.l - margin.r;
      cell = wide / ld.k;
      deep = Math.min(300, wide * 0.36) / ld.k;
      const height = lines + deep * ld.k + 6;
      canvas.width = width * scale;
      canvas.height = height * scale;
      canvas.style.height = height + "px";
      const pen = canvas.getContext("2d");
      pen.scale(scale, scale);
      pen.translate(margin.l, 0);
      connect(pen);
      for (let i = 0; i < ld.k; i++)
        for (let j = i + 1; j < ld.k; j++) diamond(pen, i, j, ramp(r(i, j) ** 2));
      for (const [first, last] of ld.blocks) outline(pen, first, last);
    }

    function connect(pen) {
      const full = plot && plot._fullLayout;
      const [low, high] = full ? full.xaxis.range : figures[canvas.dataset.axis].layout.xaxis.range;
      for (let i = 0; i < ld.k; i++) {
        const at = (ld.x[i] - low) / (high - low) * wide;
        if (at < 0 || at > wide) continue;
        pen.beginPath();
        pen.moveTo(at, 0);
        pen.lineTo(at, 6);
        pen.lineTo((i + 0.5) * cell, lines - 6);
        pen.lineTo((i + 0.5) * cell, lines);
        pen.strokeStyle = i === ld.lead ? lead : "#b9c3cc";
        pen.lineWidth = i === ld.lead ? 2 : 0.7;
        pen.stroke();
      }
    }

    function diamond(pen, i, j, colour) {
      const x = (i + j + 1) / 2 * cell, y = lines + (j - i) * deep;
      pen.beginPath();
      pen.moveTo(x, y - deep);
      pen.lineTo(x + cell / 2, y);
      pen.lineTo(x, y + deep);
      pen.lineTo(x - cell / 2, y);
      pen.closePath();
      pen.fillStyle = colour;
      pen.strokeStyle = colour;
      pen.lineWidth = 0.4;
      pen.fill();
      pen.stroke();
    }

    function outline(pen, first, last) {
      const half = (last - first + 1) / 2;
      pen.beginPath();
      pen.moveTo(first * cell, lines);
      pen.lineTo((first + half) * cell, lines + half * 2 * deep);
      pen.lineTo((last + 1) * cell, lines);
      pen.closePath();
      pen.strokeStyle = ink;
      pen.lineWidth = 1.1;
      pen.stroke();
    }

    canvas.addEventListener("mousemove", (event) => {
      const box = canvas.getBoundingClientRect();
      const x = (event.clientX - box.left - margin.l) / cell, y = (event.clientY - box.top - lines) / deep;
      const i = Math.floor(x - y / 2), j = Math.floor(x + y / 2);
      const inside = i >= 0 && j < ld.k && j > i && y > 0;
      tip.hidden = !inside;
      if (!inside) return;
      const value = r(i, j);
      tip.textContent = `${ld.id[i]} – ${ld.id[j]}: r ${value.toFixed(2).replace("-", "−")}, r² ${(value ** 2).toFixed(2)}`;
      tip.style.left = Math.min(event.clientX - box.left + 14, canvas.clientWidth - tip.offsetWidth) + "px";
      tip.style.top = canvas.offsetTop + event.clientY - box.top + 14 + "px";
    });
    canvas.addEventListener("mouseleave", () => { tip.hidden = true; });
    if (plot && plot.on) plot.on("plotly_relayout", draw);
    new ResizeObserver(draw).observe(canvas.parentElement);
    draw();
  }

  const stops = [[0, [243, 245, 247]], [0.35, [159, 195, 221]], [0.7, [47, 111, 159]], [1, [18, 52, 77]]];
  function ramp(value) {
    let k = 0;
    while (k < stops.length - 2 && value > stops[k + 1][0]) k++;
    const share = (value - stops[k][0]) / (stops[k + 1][0] - stops[k][0]);
    const mixed = stops[k][1].map((low, c) => Math.round(low + share * (stops[k + 1][1][c] - low)));
    return `rgb(${mixed})`;
  }

  function tabs(webgl) {
    const all = [...document.querySelectorAll('[role="tab"]')];
    const select = (tab) => {
      for (const other of all) {
        const chosen = other === tab;
        other.setAttribute("aria-selected", chosen);
        other.tabIndex = chosen ? 0 : -1;
        document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
      }
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      for (const box of panel.querySelectorAll("[data-figure]")) drawFigure(box, webgl);
    };
    all.forEach((tab, i) => {
      tab.addEventListener("click", () => select(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = all[(i + step + all.length) % all.length];
        next.focus();
        select(next);
      });
    });
    if (all.length) select(all[0]);
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
      const numeric = head.classList.contains("numeric");
      const down = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : false;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");  // not computed: last, either way
        const order = numeric ? a - b : a.localeCompare(b, "en", { numeric: true });
        return down ? -order : order;
      };
      const rows = [...body.rows].sort((a, b) => compare(key(a), key(b)));
      body.append(...rows);
    }));
  }

  async function start() {
    document.querySelectorAll("table.sortable").forEach(sortable);
    try {
      await loadPlotly();
    } catch (error) {
      for (const box of document.querySelectorAll("[data-figure]"))
        box.textContent = "This browser cannot unpack the charts (it is older than 2023). The tables are complete.";
      return;
    }
    const webgl = hasWebGL();
    tabs(webgl);
    for (const box of document.querySelectorAll("[data-figure]"))
      if (!box.closest('[role="tabpanel"], .region')) drawFigure(box, webgl);
    const later = [...document.querySelectorAll(".region")];
    const show = (region) => {
      region.querySelectorAll("[data-figure]").forEach((box) => drawFigure(box, webgl));
      region.querySelectorAll("canvas.ld").forEach((canvas) => {
        if (!drawn.has(canvas.dataset.ld)) { drawn.add(canvas.dataset.ld); triangle(canvas); }
      });
    };
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { show(entry.target); seen.unobserve(entry.target); }
    }, { rootMargin: "600px" });
    later.forEach((region) => seen.observe(region));
    window.addEventListener("beforeprint", () => later.forEach(show));
    document.documentElement.dataset.ready = "yes";
  }
  start();
})();
