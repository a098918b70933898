# expect: AC AC
print("7")
