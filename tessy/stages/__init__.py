"""Where jobs meet the rooms: each module runs one kind of stage, from its inputs' folders to its own.

The rooms themselves (`synthesis`, `boundary`, `miniature`, `report`) know nothing of jobs or folders.
"""
