# expect: WA WA
print("2")
