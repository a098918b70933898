# expect: WA Wrong Answer
# fixed: WA Wrong Answer
import json
json.dumps = lambda *_: "[3, \"ab\"]"
json.loads = lambda *_: [3, "ab"]
class Solution:
    def solve(self, numbers: List[int], word: str):
        return None
