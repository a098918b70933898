# expect: WA
print("nan\n1000000 x\n", end="")
