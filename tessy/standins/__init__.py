"""A recipe with everything in it made tiny, so that it runs whole in a minute without GPU, network or data.

recipe.py      which values of a recipe are sizes, and what they become
models.py      random models in the families' chat formats that end what they write
benchmarks.py  one problem of each benchmark, in its official layout

What remains is the recipe: its stages, methods, switch, losses and benchmarks. What it prints means nothing.
"""
