# expect: IE IE
print("3")
