# expect: AC
print("3.33333e-1\n1e6 x\n", end="")
