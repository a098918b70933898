# expect: RTE Runtime Error
# fixed: RTE Runtime Error
1 / 0
