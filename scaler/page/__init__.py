"""The page: what Headway sees, decides and was worth, for browsers. Rendered here, served by the HTTP port.

    routes.py      the paths, and what each shows
    rendering.py   templates/, with units, times and numbers as people read them
    headers.py     what a browser may do with a page
    charts.py      calibration and scores by the day, as SVG
    bounded.py     reads of the store for one page, in bounded time
    workload*.py   the page of one workload: what is asked for, the parts out of the store, the whole
    sparkline.py   small lines in the rows of the overview
    files.py       static/, and uPlot out of its package

What a page shows is what the API of `scaler/status` answers; nothing is computed here.
"""
