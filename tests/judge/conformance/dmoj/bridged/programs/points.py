# expect: IE IE
print("7")
