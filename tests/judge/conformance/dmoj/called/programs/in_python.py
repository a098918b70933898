# expect: IE IE
print("even")
