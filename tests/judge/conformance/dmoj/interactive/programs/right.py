# expect: AC
low, high = 1, 1000
while True:
    middle = (low + high) // 2
    print(middle, flush=True)
    word = input()
    if word == "=":
        break
    if word == "<":
        low = middle + 1
    else:
        high = middle - 1
