# expect: RTE IR
# fixed: AC AC
print(open("/dev/fd/0").read())
