"""The miniature contest: an instrument in which the paper's effect can be measured on two CPU cores.

`world` invents concepts and problems, `dialects` says how authors speak and which of their words are
style, `traces` writes worked solutions, `contests` writes the benchmarks in their official on-disk
formats, `pretrain` makes a tiny student and a tiny teacher. README.md has what was measured.

Not covered: anything of TESSY itself. The pipeline treats these models and problems like any others.
"""
