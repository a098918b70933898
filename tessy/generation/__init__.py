"""Responses written by a job's models: connects stages with engines, predictors and the cooperation loop.

models.py          the recipe's models: their locations, chat formats and engines
writing.py         responses to samples, journaled, by one process or by several
switching.py       a recipe's switch: the predictor or token rule that ends an author's text
measuring.py       progress, rates and the share of the engines' maximum throughput
annotation.py      segments annotated by a lexicon, a model or an endpoint
token_logprobs.py  a model's log-probabilities at every token of a given text

Used by synthesis, annotation, evaluation and the miniature's checks.
"""
