# expect: AC AC
low, high = 1, 1000
while True:
    middle = (low + high) // 2
    print(middle, flush=True)
    word = input()
    if word == "found":
        break
    low, high = (middle + 1, high) if word == "more" else (low, middle - 1)
print("bye", flush=True)
