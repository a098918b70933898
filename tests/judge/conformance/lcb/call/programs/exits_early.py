# expect: WA Wrong Answer
# fixed: WA Wrong Answer
import os
os._exit(0)
