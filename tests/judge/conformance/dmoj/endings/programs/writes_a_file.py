# expect: RTE IR
print(1)
open("/tmp/x", "w").write("x")
