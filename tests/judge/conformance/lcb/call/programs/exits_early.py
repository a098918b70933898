# expect: RTE Runtime Error
# fixed: WA Wrong Answer
import os
os._exit(0)
