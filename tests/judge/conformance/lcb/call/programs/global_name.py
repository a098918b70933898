# expect: AC Passed
# fixed: AC Passed
total = 0
class Solution:
    def solve(self, numbers: List[int], word: str):
        global total
        total = sum(numbers)
        return [total, word]
