# expect: WA WA
print("12")
