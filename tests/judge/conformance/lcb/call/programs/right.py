# expect: AC Passed
# fixed: AC Passed
# tests: AC AC
class Solution:
    def solve(self, numbers: List[int], word: str):
        return [sum(numbers), word]
