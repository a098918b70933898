# expect: IE IE
print("99")
