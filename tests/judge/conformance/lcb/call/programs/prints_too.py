# expect: AC Passed
# fixed: AC Passed
class Solution:
    def solve(self, numbers: List[int], word: str):
        print("debugging")
        return [sum(numbers), word]
