from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        return [interactor.readln() for _ in range(6)] == [b"a", b" b", b"", b"c", b"", b"last"]
