# expect: WA Wrong Answer
# fixed: WA Wrong Answer
class Solution:
    def solve(self, numbers: List[int], word: str):
        return [0, word]
