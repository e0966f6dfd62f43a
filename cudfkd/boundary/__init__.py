"""The boundary: all that comes from outside passes it once. It is adapted, or refused in one line before any work.

    networks      networks of users, in the role of teacher or student
    trials        forward passes on noise, in the modes in which a run uses teacher and student
    images        data sets of users, and the numbers that normalise their images
    weights       names of weights, and files with weights

The state of the process (gradients, precision, default device) is kept out by `cudfkd.base.process`, its random numbers
by `cudfkd.base.randomness`.
"""
