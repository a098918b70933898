# ends: memory exit signal
kept = []
while True:
    kept.append(bytearray(1 << 20))
