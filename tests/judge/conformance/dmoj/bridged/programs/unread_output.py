# expect: WA WA
print("5 and more")
