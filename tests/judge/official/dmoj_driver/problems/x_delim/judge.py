from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        return [interactor.readtoken(b",") for _ in range(7)] == [b"a", b" b", b"", b"c", b"", b"", b"x"]
