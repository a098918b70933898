"""Runs inside the sandbox: LiveCodeBench submissions, in an interpreter that has its modules loaded.

`main` waits as process 1 of a sandbox; every run is a fork of it (`eval.sandbox.sandbox`). `official` runs a
submission as LiveCodeBench's own code does, all tests in one process; `real` runs one test as a program or a
call that nobody interferes with. Standard library only, and what `main` finds.

Nothing here decides a verdict: what is sent out is data, whatever the submission did to this process.
"""
