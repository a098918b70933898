from dmoj.graders.interactive import InteractiveGrader
from dmoj.result import CheckerResult


class Grader(InteractiveGrader):
    def interact(self, case, interactor):
        hidden = int(case.input_data())
        assert case.output_data() == (b"found\n" if case.position == 0 else b"")
        assert case.points == 10
        for _ in range(12):
            guess = interactor.readint(1, 1000)
            if guess == hidden:
                interactor.writeln("found")
                word = interactor.readln()
                return word == b"bye" or CheckerResult(False, 0, "impolite")
            interactor.write("more\n" if guess < hidden else "less\n")
        return False
