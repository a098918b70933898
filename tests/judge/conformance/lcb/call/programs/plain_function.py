# expect: AC Passed
# fixed: AC Passed
def solve(numbers, word):
    return [sum(numbers), word]
