# expect: AC
print("0.3339\n1000000.5 x\n", end="")
