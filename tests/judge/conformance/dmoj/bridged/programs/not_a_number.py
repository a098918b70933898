# expect: WA WA
print("zero")
