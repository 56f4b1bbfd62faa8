# A list, and the link by which an object is in it; implemented in linked_list.pyx.

cdef struct List:
    Link *first
    Link *last
    int length


cdef struct Link:
    Link *prev
    Link *next
    List *list          # in which it is; NULL for in none
    PyObject *owner     # the object that contains the link; borrowed
