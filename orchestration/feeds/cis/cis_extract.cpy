      ******************************************************************
      * CIS NIGHTLY EXTRACT                                            *
      * VARIABLE RECORDS, EBCDIC CP037, 4-BYTE RDW (BIG-ENDIAN,        *
      * LENGTH INCLUDES THE RDW). REC-TYPE CHOOSES THE BRANCH:         *
      *   H HEADER    C CUSTOMER  P PREMISE   A ACCOUNT                *
      *   T TARIFF    B BILL      Y PAYMENT   Z TRAILER                *
      * DATES ARE YYYYMMDD, 0 WHEN THERE IS NONE. TIMES ARE LOCAL.     *
      ******************************************************************
       01  CIS-RECORD.
           05  REC-TYPE                    PIC X(1).
               88  IS-HEADER               VALUE 'H'.
               88  IS-CUSTOMER             VALUE 'C'.
               88  IS-PREMISE              VALUE 'P'.
               88  IS-ACCOUNT              VALUE 'A'.
               88  IS-TARIFF               VALUE 'T'.
               88  IS-BILL                 VALUE 'B'.
               88  IS-PAYMENT              VALUE 'Y'.
               88  IS-TRAILER              VALUE 'Z'.
           05  HEADER-REC.
               10  EXTRACT-ID              PIC X(8).
               10  BUSINESS-DATE           PIC 9(8).
               10  CREATED-AT              PIC 9(14).
               10  SYSTEM-NAME             PIC X(8).
           05  CUSTOMER-REC REDEFINES HEADER-REC.
               10  CUSTOMER-NO             PIC 9(10).
      *        P PERSON, B BUSINESS
               10  NAME-KIND               PIC X(1).
               10  TITLE                   PIC X(6).
               10  GIVEN-NAME              PIC X(20).
               10  SURNAME                 PIC X(30).
               10  BUSINESS-NAME           PIC X(40).
               10  BIRTH-DATE              PIC 9(8) COMP-3.
      *        KIND: M MOBILE, H HOME, W WORK, BLANK NONE
               10  PHONE OCCURS 2 TIMES.
                   15  PHONE-KIND          PIC X(1).
                   15  PHONE-NO            PIC X(15).
               10  EMAIL                   PIC X(50).
               10  LANGUAGE                PIC X(2).
      *        ME MEDICAL, VU VULNERABLE
               10  PRIORITY-CODE           PIC X(2).
               10  SINCE-DATE              PIC 9(8).
               10  CHANGED-AT              PIC 9(14).
           05  PREMISE-REC REDEFINES HEADER-REC.
               10  PREMISE-NO              PIC 9(10).
               10  ADDRESS-LINE            PIC X(40).
               10  CITY                    PIC X(25).
               10  STATE-CODE              PIC X(2).
               10  POSTCODE                PIC X(8).
               10  FEEDER                  PIC X(8).
               10  WEATHER-STATION         PIC X(8).
               10  TIME-ZONE               PIC X(24).
      *        H HOUSE, F FLAT, S SHOP
               10  DWELLING                PIC X(1).
               10  LATITUDE                PIC S9(3)V9(5) COMP-3.
               10  LONGITUDE               PIC S9(3)V9(5) COMP-3.
               10  CHANGED-AT              PIC 9(14).
           05  ACCOUNT-REC REDEFINES HEADER-REC.
               10  ACCOUNT-NO              PIC 9(12).
               10  CUSTOMER-NO             PIC 9(10).
               10  PREMISE-NO              PIC 9(10).
               10  SERVICE-POINT           PIC X(10).
               10  METER-SERIAL            PIC X(12).
               10  TARIFF-CODE             PIC X(6).
               10  OPENED-DATE             PIC 9(8).
               10  CLOSED-DATE             PIC 9(8).
      *        MO MOVED OUT, SW SWITCHED
               10  CLOSE-REASON            PIC X(2).
               10  CONTRACT-END-DATE       PIC 9(8).
               10  BALANCE                 PIC S9(7)V99 COMP-3.
      *        DD DEBIT, CA CARD, CK CHECK, ON ONLINE
               10  PAYMENT-METHOD          PIC X(2).
               10  IS-PAPERLESS            PIC X(1).
               10  CHANGED-AT              PIC 9(14).
           05  TARIFF-REC REDEFINES HEADER-REC.
               10  TARIFF-CODE             PIC X(6).
               10  TARIFF-NAME             PIC X(30).
               10  DAILY-CHARGE            PIC S9(3)V9(4) COMP-3.
               10  RATE-COUNT              PIC 9(2) COMP.
               10  RATE OCCURS 1 TO 4 TIMES
                       DEPENDING ON RATE-COUNT.
                   15  PERIOD-NAME         PIC X(8).
                   15  FROM-HOUR           PIC 9(2).
                   15  TO-HOUR             PIC 9(2).
                   15  USD-PER-KWH         PIC S9(1)V9(5) COMP-3.
           05  BILL-REC REDEFINES HEADER-REC.
               10  BILL-NO                 PIC 9(12).
               10  ACCOUNT-NO              PIC 9(12).
               10  PERIOD-START-DATE       PIC 9(8).
      *        EXCLUSIVE
               10  PERIOD-END-DATE         PIC 9(8).
               10  ISSUED-DATE             PIC 9(8).
               10  DUE-DATE                PIC 9(8).
               10  BILLED-KWH              PIC S9(7)V999 COMP-3.
               10  AMOUNT                  PIC S9(7)V99 COMP-3.
      *        A ACTUAL, E ESTIMATED
               10  READ-TYPE               PIC X(1).
               10  IS-REVERSED             PIC X(1).
           05  PAYMENT-REC REDEFINES HEADER-REC.
               10  PAYMENT-NO              PIC 9(12).
               10  ACCOUNT-NO              PIC 9(12).
               10  BILL-NO                 PIC 9(12).
               10  RECEIVED-DATE           PIC 9(8).
               10  AMOUNT                  PIC S9(7)V99 COMP-3.
               10  METHOD                  PIC X(2).
      *        P POSTED, R RETURNED
               10  STATUS                  PIC X(1).
           05  TRAILER-REC REDEFINES HEADER-REC.
               10  CUSTOMER-COUNT          PIC 9(9) COMP.
               10  PREMISE-COUNT           PIC 9(9) COMP.
               10  ACCOUNT-COUNT           PIC 9(9) COMP.
               10  TARIFF-COUNT            PIC 9(9) COMP.
               10  BILL-COUNT              PIC 9(9) COMP.
               10  PAYMENT-COUNT           PIC 9(9) COMP.
               10  BILL-AMOUNT             PIC S9(11)V99 COMP-3.
               10  PAYMENT-AMOUNT          PIC S9(11)V99 COMP-3.
