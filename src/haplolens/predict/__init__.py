"""PREDICTORS: genotypes to a trait, under a protocol that cannot leak.

prepare   what is learned of the training samples before any model: shares, scales, covariates
encode    channels of a genotype, as tables
samples   what a model sees
model     the one API;  models: names and cards
fit       prepare + model + calibration = Fitted;  cross_validate: several of them on the same folds
fitted    the model folder, and predictions from it
"""
