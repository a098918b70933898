"""The miniature contest: a small setting in which the paper's effect can be measured on two CPU cores.

`world` generates concepts and problems, `dialects` defines how authors write and which of their words are
style, `traces` writes worked solutions, `contests` writes the benchmarks in their official on-disk
formats, `pretrain` trains a tiny student and a tiny teacher. README.md has the measurements.

Not covered: anything of TESSY itself. The stages treat these models and problems like any others.
"""
