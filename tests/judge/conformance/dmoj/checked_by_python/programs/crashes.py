# expect: RTE IR
1 / 0
