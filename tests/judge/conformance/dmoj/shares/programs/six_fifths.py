# expect: IE IE
print("6")
