# expect: RTE IR
# fixed: AC AC
print(open("/dev/stdin").read())
