# ends: exit cpu wall memory
import os

while True:
    try:
        os.fork()
    except OSError:
        pass
