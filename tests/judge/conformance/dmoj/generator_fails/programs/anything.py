# expect: IE IE
print(1)
