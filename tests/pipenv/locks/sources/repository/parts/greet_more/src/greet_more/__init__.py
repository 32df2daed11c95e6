MORE = True
