"""Responses written by a job's models: where stages meet the engines, predictors and the cooperation loop.

models.py          the recipe's models: where they are, their chat formats, the engines that run them
writing.py         responses to samples, journaled, by one process or by several
switching.py       a recipe's switch as what decides, at synthesis, where an author's text ends
measuring.py       progress, rates and the share of the engines' limit
annotation.py      segments with style marked by a lexicon, a model or an endpoint
token_logprobs.py  what a model thinks of every token of a given text

Synthesis, annotation, evaluation and the miniature's checks all write in this way.
"""
