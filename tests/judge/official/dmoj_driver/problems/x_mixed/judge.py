from dmoj.graders.interactive import InteractiveGrader


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        i = interactor
        return [i.readtoken(), i.readln(), i.readln(), i.readtoken(), i.readtoken(), i.readln()] == [
            b"7",
            b"x",
            b"a b",
            b"8",
            b"9",
            b"c",
        ]
