# expect: AC Passed
# fixed: AC Passed
class Solution:
    def solve(self, numbers: List[int], word: str):
        return sum(numbers), word
